// SPDX-License-Identifier: Apache-2.0
// The header fields of a request or an answer, as the server wrote them down: its masks stand for secrets.
import { Table, Text } from "@mantine/core";
import { useId } from "react";

import classes from "./Headers.module.css";

function Field({ line }: { line: string }) {
  const colon = line.indexOf(":");
  if (colon <= 0)
    return (
      <Table.Td colSpan={2} className={`foreign ${classes.value}`}>
        {line}
      </Table.Td>
    );
  return (
    <>
      <Table.Th scope="row" className={`foreign ${classes.name}`}>
        {line.slice(0, colon)}
      </Table.Th>
      <Table.Td className={`foreign ${classes.value}`}>{line.slice(colon + 1).trim()}</Table.Td>
    </>
  );
}

/** Lines of "Name: value", in the order in which they were sent. */
export function Headers({ label, lines }: { label: string; lines: string[] }) {
  const id = useId();
  return (
    <div>
      <Text id={id} size="sm" fw={600} mb={4}>
        {label}
      </Text>
      {lines.length === 0 ? (
        <Text size="sm" c="dimmed">
          None
        </Text>
      ) : (
        <Table aria-labelledby={id} withTableBorder verticalSpacing={3} className={classes.table}>
          <Table.Tbody>
            {lines.map((line, index) => (
              <Table.Tr key={index}>
                <Field line={line} />
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </div>
  );
}
