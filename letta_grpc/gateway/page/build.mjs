// Bundles the page into ../static/page, or into the folder that is named. What comes out is committed: servers need no Node.
import { cp, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? `${here}../static/page`;

await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { page: "src/main.ts" },
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  // Unminified, so that a change of the built file can be reviewed; gzip takes what minifying would.
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
for (const name of ["index.html", "page.css", "icon.svg"]) await cp(`${here}${name}`, `${out}/${name}`);
