// SPDX-License-Identifier: Apache-2.0
import { Menu, useMantineColorScheme, VisuallyHidden, type MantineColorScheme } from "@mantine/core";

const SCHEMES: [MantineColorScheme, string][] = [
  ["auto", "Theme as the system"],
  ["light", "Light theme"],
  ["dark", "Dark theme"],
];

/** Part of a menu: light, dark, or what the system says. Remembered by the browser. */
export function ThemeItems() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <>
      {SCHEMES.map(([scheme, words]) => (
        <Menu.Item
          key={scheme}
          rightSection={
            colorScheme === scheme && (
              <>
                <span aria-hidden="true">✓</span>
                <VisuallyHidden>chosen</VisuallyHidden>
              </>
            )
          }
          onClick={() => setColorScheme(scheme)}
        >
          {words}
        </Menu.Item>
      ))}
    </>
  );
}
