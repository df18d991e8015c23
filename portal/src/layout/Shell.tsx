// SPDX-License-Identifier: Apache-2.0
// What stands around every page: the bar with the way home, the theme, who is signed in.
import { Anchor, AppShell, Button, Center, Container, Group, Loader, Menu, Text } from "@mantine/core";
import { Suspense } from "react";
import { Link, Navigate, Outlet, useLocation } from "react-router-dom";

import { useLogout, useSession } from "../api/session";
import { ErrorBox } from "../components/ErrorBox";
import classes from "./Shell.module.css";
import { ThemeItems } from "./ThemeItems";

const BAR_HEIGHT = 52;

function UserMenu({ name }: { name: string }) {
  const logout = useLogout();
  return (
    // In the bar itself, and begun at its first item: the library's own place and placeholder are no part of a menu.
    <Menu position="bottom-end" withinPortal={false} withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          size="compact-sm"
          className={classes.barButton}
          aria-label={`Account ${name}`}
        >
          {name}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <ThemeItems />
        <Menu.Item onClick={() => logout.mutate()}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export function Shell() {
  const session = useSession();
  const location = useLocation();

  if (session.isPending)
    return (
      <Center mih="100vh">
        <Loader aria-label="Loading" />
      </Center>
    );
  if (session.error)
    return (
      <Container size="sm" pt="xl" component="main">
        <ErrorBox error={session.error} onRetry={() => session.refetch()} />
      </Container>
    );
  if (!session.data) {
    const here = location.pathname + location.search;
    return <Navigate to={`/harbor/sign-in?next=${encodeURIComponent(here)}`} replace />;
  }
  return (
    <AppShell header={{ height: BAR_HEIGHT }} padding="md">
      <a href="#main" className={classes.skip}>
        Skip to the page
      </a>
      <AppShell.Header className={classes.bar}>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="lg" wrap="nowrap">
            <Anchor component={Link} to="/harbor/projects" className={classes.brand} underline="never">
              Harbinger
            </Anchor>
            <Group component="nav" aria-label="Main" gap="md" wrap="nowrap">
              <Anchor component={Link} to="/harbor/projects" size="sm" className={classes.link}>
                Projects
              </Anchor>
              <Anchor component={Link} to="/harbor/first-steps" size="sm" className={classes.link}>
                First steps
              </Anchor>
            </Group>
          </Group>
          <UserMenu name={session.data.username} />
        </Group>
      </AppShell.Header>
      <AppShell.Main id="main">
        <Container size="xl" px={0}>
          <Suspense fallback={<Text c="dimmed">Loading …</Text>}>
            <Outlet />
          </Suspense>
        </Container>
      </AppShell.Main>
    </AppShell>
  );
}
