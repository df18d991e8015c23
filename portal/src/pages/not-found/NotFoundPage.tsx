// SPDX-License-Identifier: Apache-2.0
import { Anchor } from "@mantine/core";
import { Link } from "react-router-dom";

import { EmptyState } from "../../components/EmptyState";
import { useTitle } from "../../components/useTitle";

export function NotFoundPage() {
  useTitle("Not found");
  return (
    <EmptyState isPage title="There is no such page">
      <Anchor underline="always" component={Link} to="/harbor/projects">
        To the projects
      </Anchor>
    </EmptyState>
  );
}
