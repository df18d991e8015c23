// SPDX-License-Identifier: Apache-2.0
import { Text } from "@mantine/core";

import { useDeleteRepository, type Repository } from "../api/catalogue";
import { ConfirmDialog } from "./ConfirmDialog";

/** Asks, with what goes, before a repository is deleted from the registry. */
export function DeleteRepository({
  repository,
  onDeleted,
  onClose,
}: {
  repository: Repository;
  onDeleted: () => void;
  onClose: () => void;
}) {
  const name = repository.name.slice(repository.name.indexOf("/") + 1);
  const remove = useDeleteRepository(String(repository.project_id), name);
  const artifacts = repository.artifact_count;
  const tags = repository.harbinger?.tag_count ?? 0;
  return (
    <ConfirmDialog
      title="Delete this repository from the registry?"
      confirm="DELETE"
      isDangerous
      isPending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(undefined, { onSuccess: onDeleted })}
      onClose={onClose}
    >
      <Text size="sm">
        <span className="foreign">{repository.name}</span> goes with {artifacts.toLocaleString()}{" "}
        {artifacts === 1 ? "artifact" : "artifacts"} and {tags.toLocaleString()} {tags === 1 ? "tag" : "tags"}
        , each deleted in the registry. It cannot be taken back.
      </Text>
    </ConfirmDialog>
  );
}
