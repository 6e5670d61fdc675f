// The modules in dist/ export what their filters list and no callback besides: each callback costs on every request.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../", import.meta.url);

// What Envoy needs of any proxy-wasm module before it calls a filter.
const runtime = ["_initialize", "memory", "proxy_abi_version_0_2_1"];

for (const filter of ["router", "fault", "headers", "authz", "policy"]) {
  test(`mesh_${filter}.wasm exports the callbacks that filters/${filter}/exports.txt lists and no other`, () => {
    const listed = readFileSync(new URL(`filters/${filter}/exports.txt`, root), "utf8")
      .replaceAll(/#.*/g, "")
      .split(/\s+/)
      .filter((name) => name !== "");
    const module = new WebAssembly.Module(readFileSync(new URL(`dist/mesh_${filter}.wasm`, root)));
    const exported = WebAssembly.Module.exports(module).map((entry) => entry.name);
    assert.deepEqual(exported.sort(), [...runtime, ...listed].sort());
  });

  test(`mesh_${filter}.wasm imports nothing but the proxy-wasm and WASI calls`, () => {
    const module = new WebAssembly.Module(readFileSync(new URL(`dist/mesh_${filter}.wasm`, root)));
    const strange = WebAssembly.Module.imports(module).filter(
      ({ module, name }) => !(module === "env" && name.startsWith("proxy_")) && module !== "wasi_snapshot_preview1",
    );
    assert.deepEqual(strange, []);
  });
}
