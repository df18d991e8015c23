// SPDX-License-Identifier: Apache-2.0
import { Alert, Button, Center, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { Navigate, useSearchParams } from "react-router-dom";

import { ApiError } from "../../api/client";
import { useLogin, useSession } from "../../api/session";
import { ErrorBox } from "../../components/ErrorBox";
import { useTitle } from "../../components/useTitle";

const HOME = "/harbor/projects";

/** Where to go after signing in: a page of ours, never another site. */
function nextOf(params: URLSearchParams): string {
  const next = params.get("next") ?? HOME;
  return next.startsWith("/harbor/") && !next.startsWith("/harbor/sign-in") ? next : HOME;
}

export function SignInPage() {
  const [params] = useSearchParams();
  const session = useSession();
  const login = useLogin();
  const form = useForm({
    initialValues: { principal: "", password: "" },
    validate: {
      principal: (value) => (value ? null : "Username is required"),
      password: (value) => (value ? null : "Password is required"),
    },
  });
  useTitle("Sign in");

  if (session.data) return <Navigate to={nextOf(params)} replace />;
  const refused = login.error instanceof ApiError && login.error.status === 401;
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder p="xl" w="100%" maw={400}>
        <form onSubmit={form.onSubmit((values) => login.mutate(values))} noValidate>
          <Stack>
            <div>
              <Title order={1}>Harbinger</Title>
              <Text c="dimmed" size="sm">
                Webhooks for container registries
              </Text>
            </div>
            {params.has("next") && !login.error && (
              <Text size="sm" role="status">
                Sign in to see this page.
              </Text>
            )}
            {refused && (
              <Alert color="var(--mantine-color-error)" variant="outline" role="alert">
                Username or password is wrong.
              </Alert>
            )}
            {login.error && !refused && <ErrorBox error={login.error} />}
            <TextInput
              label="Username"
              autoComplete="username"
              data-autofocus
              {...form.getInputProps("principal")}
            />
            <PasswordInput
              label="Password"
              autoComplete="current-password"
              visibilityToggleButtonProps={{ "aria-label": "Show what is typed", tabIndex: 0 }}
              {...form.getInputProps("password")}
            />
            <Button type="submit" loading={login.isPending}>
              SIGN IN
            </Button>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}
