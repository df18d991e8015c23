// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef } from "react";

import type { WebhookTestResult } from "../../api/webhooks";
import { ErrorBox } from "../../components/ErrorBox";
import { TestResult } from "./TestResult";

/** What became of a test. Takes the focus when it comes: the button, switched off meanwhile, has lost it. */
export function TestOutcome({
  result,
  error,
}: {
  result: WebhookTestResult | undefined;
  error: Error | null;
}) {
  const box = useRef<HTMLDivElement>(null);
  const outcome = error ?? result;
  useEffect(() => {
    if (outcome) box.current?.focus();
  }, [outcome]);
  if (!outcome) return null;
  return (
    <div ref={box} tabIndex={-1}>
      {error && <ErrorBox error={error} title="The test was not sent" />}
      {!error && result && <TestResult result={result} />}
    </div>
  );
}
