// SPDX-License-Identifier: Apache-2.0
// The commands of the first steps, ready to paste. Names of projects and webhooks come quoted: they are somebody's words.

/** For a POSIX shell: as it is when plain, else in single quotes. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function projectCommand(server: string): string {
  return [`harbinger login ${shellWord(server)} --username admin`, "harbinger project create demo"].join(
    "\n",
  );
}

export function webhookCommand(project: string, listenUrl: string): string {
  return [
    "# in one terminal: a receiver that shows what comes",
    "harbinger listen --listen 127.0.0.1:9090",
    "# in another: the webhook that sends to it",
    `harbinger webhook create --project ${shellWord(project)} --name first --url ${shellWord(listenUrl)}`,
  ].join("\n");
}

export interface PushTool {
  name: string;
  command: string;
}

/** How to push an image, for each client. A registry on this machine speaks plain HTTP, which each must be told. */
export function pushCommands(registry: string, project: string): PushTool[] {
  const host = registry || "REGISTRY:5000";
  const image = `${host}/${project}/hello:1`;
  const isLocal = /^(localhost|127\.|\[::1\])/.test(host);
  return [
    {
      name: "docker",
      command: ["docker pull hello-world", `docker tag hello-world ${image}`, `docker push ${image}`].join(
        "\n",
      ),
    },
    {
      name: "podman",
      command: [
        "podman pull docker.io/library/hello-world",
        `podman tag docker.io/library/hello-world ${image}`,
        `podman push${isLocal ? " --tls-verify=false" : ""} ${image}`,
      ].join("\n"),
    },
    {
      name: "skopeo",
      command: `skopeo copy${isLocal ? " --dest-tls-verify=false" : ""} docker://docker.io/library/hello-world docker://${image}`,
    },
  ];
}
