// SPDX-License-Identifier: Apache-2.0
// From nothing to the first delivered webhook in three steps, each with a command to paste and a tick once it is done.
import { Anchor, Stack, Tabs, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "react-router-dom";

import type { Schemas } from "../../api/client";
import { useFirstSteps } from "../../api/first-steps";
import { basePath } from "../../base";
import { Command } from "../../components/Command";
import { ErrorBox } from "../../components/ErrorBox";
import { projectCommand, pushCommands, webhookCommand } from "./commands";
import classes from "./FirstSteps.module.css";

const RECEIVER = "http://127.0.0.1:9090/";

interface StepProps {
  number: number;
  title: string;
  isDone: boolean;
  done: ReactNode;
  children: ReactNode;
}

function Step({ number, title, isDone, done, children }: StepProps) {
  return (
    <li className={classes.step} aria-label={`${title}: ${isDone ? "done" : "to do"}`}>
      <span className={classes.mark} data-done={isDone || undefined} aria-hidden="true">
        {isDone ? "✓" : number}
      </span>
      <Stack gap="xs" className={classes.body}>
        <Title order={2} size="h3">
          {title}
        </Title>
        {isDone && <Text size="sm">{done}</Text>}
        {children}
      </Stack>
    </li>
  );
}

function PushTabs({ registry, project }: { registry: string; project: string }) {
  const tools = pushCommands(registry, project);
  return (
    <Tabs defaultValue={tools[0]?.name ?? ""} variant="outline">
      <Tabs.List aria-label="Client" mb="xs">
        {tools.map((tool) => (
          <Tabs.Tab key={tool.name} value={tool.name}>
            {tool.name}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {tools.map((tool) => (
        <Tabs.Panel key={tool.name} value={tool.name}>
          <Command label={`Push with ${tool.name}`} text={tool.command} />
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}

function Steps({ steps }: { steps: Schemas["FirstSteps"] }) {
  const { project, webhook, delivery, registry } = steps;
  const webhookPath = webhook && `/harbor/projects/${webhook.project_id}/webhook?policy=${webhook.id}`;
  // What is asked for next goes to where the webhook is, else nothing would be delivered.
  const target = webhook?.project_name ?? project?.name ?? "demo";
  return (
    <ol className={classes.steps}>
      <Step
        number={1}
        title="Make a project"
        isDone={project !== undefined}
        done={
          project && (
            <>
              There is{" "}
              <Anchor
                underline="always"
                component={Link}
                to={`/harbor/projects/${project.id}/webhook`}
                className="foreign"
              >
                {project.name}
              </Anchor>
              .
            </>
          )
        }
      >
        <Text size="sm" c="dimmed">
          A project holds repositories and their webhooks. NEW PROJECT on the page Projects makes one, or from
          a terminal:
        </Text>
        <Command label="Make a project" text={projectCommand(window.location.origin + basePath)} />
      </Step>
      <Step
        number={2}
        title="Add a webhook"
        isDone={webhook !== undefined}
        done={
          webhook &&
          webhookPath && (
            <>
              There is{" "}
              <Anchor underline="always" component={Link} to={webhookPath} className="foreign">
                {webhook.name}
              </Anchor>{" "}
              in <span className="foreign">{webhook.project_name}</span>.
            </>
          )
        }
      >
        <Text size="sm" c="dimmed">
          It says which events go where. NEW WEBHOOK on the project&apos;s tab Webhooks adds one, or from a
          terminal:
        </Text>
        <Command label="Add a webhook" text={webhookCommand(project?.name ?? "demo", RECEIVER)} />
      </Step>
      <Step
        number={3}
        title="Push an image"
        isDone={delivery !== undefined}
        done={
          delivery && (
            <>
              A push was delivered:{" "}
              <Anchor
                underline="always"
                component={Link}
                to={`/harbor/projects/${delivery.project_id}/webhook/${delivery.policy_id}/executions/${delivery.id}/tasks`}
              >
                see what was sent
              </Anchor>
              .
            </>
          )
        }
      >
        <Text size="sm" c="dimmed">
          {registry
            ? "The registry tells of the push, and the webhook receives it:"
            : "Which registry is not known here (setting upstream.url); it must send its notifications to this server. Then:"}
        </Text>
        <PushTabs registry={registry} project={target} />
      </Step>
    </ol>
  );
}

export function FirstSteps() {
  const steps = useFirstSteps();
  if (steps.error && !steps.data) return <ErrorBox error={steps.error} onRetry={steps.refetch} />;
  return (
    <>
      <Text mb="md" maw={640}>
        Three steps to the first delivered webhook. This page sees by itself when each has happened.
      </Text>
      {steps.data && <Steps steps={steps.data} />}
    </>
  );
}
