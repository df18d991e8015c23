// SPDX-License-Identifier: Apache-2.0
// What can be done with an artifact: the commands that pull it, and deleting it or one of its tags.
import { Modal, Radio, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { useDeleteArtifact, useRegistryHost, type Artifact } from "../../api/catalogue";
import { Command } from "../../components/Command";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { useFocusBack } from "../../components/useFocusBack";
import { pullCommands } from "./pullCommands";

interface Props {
  projectId: string;
  /** Within the project. */
  name: string;
  artifact: Artifact;
  onClose: () => void;
}

export function PullDialog({ artifact, onClose }: Pick<Props, "artifact" | "onClose">) {
  useFocusBack();
  const host = useRegistryHost();
  const reference = artifact.tags?.[0]?.name ?? artifact.digest;
  return (
    <Modal opened onClose={onClose} title="Pull this artifact" size="lg">
      <Stack gap="sm">
        {pullCommands(host.data ?? "", artifact.repository_name, reference).map((tool) => (
          <div key={tool.name}>
            <Text size="sm" fw={600} mb={4}>
              {tool.name}
            </Text>
            <Command label={`Pull with ${tool.name}`} text={tool.command} />
          </div>
        ))}
      </Stack>
    </Modal>
  );
}

function tagWords(count: number): string {
  return count === 1 ? "its tag" : `its ${count.toLocaleString()} tags`;
}

export function DeleteArtifact({ projectId, name, artifact, onClose }: Props) {
  const remove = useDeleteArtifact(projectId, name, artifact.digest);
  const [tag, setTag] = useState<string | null>(null);
  const tags = artifact.tags ?? [];
  return (
    <ConfirmDialog
      title="Delete from the registry?"
      confirm="DELETE"
      isDangerous
      isPending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(tag, { onSuccess: onClose })}
      onClose={onClose}
    >
      <Text size="sm" mb="sm">
        Pulling by what is deleted fails from then on. It cannot be taken back.
      </Text>
      <Radio.Group
        label="What is deleted"
        value={tag ?? ""}
        onChange={(value) => setTag(value === "" ? null : value)}
      >
        <Stack gap={6} mt={6} mah="40vh" style={{ overflowY: "auto" }}>
          <Radio
            value=""
            label={tags.length === 0 ? "The artifact" : `The artifact with ${tagWords(tags.length)}`}
            description={artifact.digest}
          />
          {tags.map((one) => (
            <Radio key={one.id} value={one.name} label={`Only the tag ${one.name}`} />
          ))}
        </Stack>
      </Radio.Group>
    </ConfirmDialog>
  );
}
