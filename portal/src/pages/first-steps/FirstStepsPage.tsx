// SPDX-License-Identifier: Apache-2.0
import { Title } from "@mantine/core";

import { useTitle } from "../../components/useTitle";
import { FirstSteps } from "./FirstSteps";

export function FirstStepsPage() {
  useTitle("First steps");
  return (
    <>
      <Title order={1} mb="md">
        First steps
      </Title>
      <FirstSteps />
    </>
  );
}
