// SPDX-License-Identifier: Apache-2.0
// Which page an address shows. Addresses are Harbor's, so that links in old messages go on working.
import { Navigate, Route, Routes } from "react-router-dom";

import { Shell } from "./layout/Shell";
import { DeliveryPage } from "./pages/delivery/DeliveryPage";
import { FirstStepsPage } from "./pages/first-steps/FirstStepsPage";
import { NotFoundPage } from "./pages/not-found/NotFoundPage";
import { ProjectPage } from "./pages/project/ProjectPage";
import { ProjectsPage } from "./pages/projects/ProjectsPage";
import { RepositoriesTab } from "./pages/repositories/RepositoriesTab";
import { RepositoryPage } from "./pages/repository/RepositoryPage";
import { SignInPage } from "./pages/sign-in/SignInPage";
import { SummaryTab } from "./pages/summary/SummaryTab";
import { WebhooksTab } from "./pages/webhooks/WebhooksTab";

export function App() {
  return (
    <Routes>
      <Route path="/" element={<Navigate to="/harbor/projects" replace />} />
      <Route path="/harbor/sign-in" element={<SignInPage />} />
      <Route path="/harbor" element={<Shell />}>
        <Route index element={<Navigate to="projects" replace />} />
        <Route path="projects" element={<ProjectsPage />} />
        <Route path="first-steps" element={<FirstStepsPage />} />
        <Route path="projects/:projectId" element={<ProjectPage />}>
          <Route index element={<Navigate to="summary" replace />} />
          <Route path="summary" element={<SummaryTab />} />
          <Route path="repositories" element={<RepositoriesTab />} />
          <Route path="webhook" element={<WebhooksTab />} />
        </Route>
        <Route path="projects/:projectId/repositories/*" element={<RepositoryPage />} />
        <Route
          path="projects/:projectId/webhook/:policyId/executions/:deliveryId/tasks"
          element={<DeliveryPage />}
        />
        <Route path="*" element={<NotFoundPage />} />
      </Route>
      <Route path="*" element={<NotFoundPage />} />
    </Routes>
  );
}
