// SPDX-License-Identifier: Apache-2.0
import { Menu, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";

const SCHEMES: [MantineColorScheme, string][] = [
  ["auto", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

/** Part of a menu: light, dark, or what the system says. Remembered by the browser. */
export function ThemeItems() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <>
      <Menu.Label>Theme</Menu.Label>
      {SCHEMES.map(([scheme, words]) => (
        <Menu.Item
          key={scheme}
          role="menuitemradio"
          aria-checked={colorScheme === scheme}
          rightSection={colorScheme === scheme ? <span aria-hidden="true">✓</span> : undefined}
          onClick={() => setColorScheme(scheme)}
        >
          {words}
        </Menu.Item>
      ))}
    </>
  );
}
