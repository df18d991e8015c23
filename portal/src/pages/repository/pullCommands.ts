// SPDX-License-Identifier: Apache-2.0
// How to pull an artifact, for each client, ready to paste.
import { shellWord, type PushTool } from "../first-steps/commands";

/** Plain HTTP is what a client must be told: where this page itself came from says so, else that it is this machine. */
function isPlain(host: string): boolean {
  return host === window.location.host
    ? window.location.protocol === "http:"
    : /^(localhost|127\.|\[::1\])/.test(host);
}

/** `reference`: a tag, or a digest. */
export function pullCommands(registry: string, repository: string, reference: string): PushTool[] {
  const host = registry || "REGISTRY:5000";
  const isDigest = reference.includes(":");
  const image = shellWord(`${host}/${repository}${isDigest ? "@" : ":"}${reference}`);
  const folder = repository.slice(repository.lastIndexOf("/") + 1);
  const plain = isPlain(host);
  return [
    { name: "docker", command: `docker pull ${image}` },
    { name: "podman", command: `podman pull${plain ? " --tls-verify=false" : ""} ${image}` },
    {
      name: "skopeo",
      command: `skopeo copy${plain ? " --src-tls-verify=false" : ""} docker://${image} ${shellWord(`oci:${folder}:${isDigest ? "pulled" : reference}`)}`,
    },
  ];
}
