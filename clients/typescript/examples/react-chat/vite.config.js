import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The page speaks to where it comes from; calls go on to the gateway.
const gateway = {
  target: process.env.LETTA_GRPC_URL ?? "http://127.0.0.1:8283",
  // With the page's own Host, or the gateway would take it for a page of somebody else's.
  changeOrigin: false,
  // A stream that breaks behind the proxy breaks before it, too; left to itself it would fall silent.
  configure: (proxy) =>
    proxy.on("proxyRes", (answer, _, response) => answer.once("close", () => answer.complete || response.destroy())),
};
const proxy = { "/api": gateway };

export default defineConfig({ plugins: [react()], server: { proxy }, preview: { proxy } });
