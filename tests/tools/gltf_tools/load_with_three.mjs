// Prints what three.js makes of a GLB file as JSON: node load_with_three.mjs FOLDER-OF-NODE-MODULES FILE
//
// Node lacks what three.js expects of a browser, and gets it here: progress events, fetch for files, workers made from a
// Blob, and createImageBitmap, which hands the encoded bytes on, since node decodes no pictures.
import { resolveObjectURL } from "node:buffer";
import fs from "node:fs";
import { pathToFileURL } from "node:url";
import { Worker as NodeWorker } from "node:worker_threads";

const [modules, file] = process.argv.slice(2);
const three = pathToFileURL(`${modules}/three/`).href;

globalThis.self = globalThis;
globalThis.ProgressEvent ??= class extends Event {};
const fetchFromNet = globalThis.fetch;
globalThis.fetch = (request) => {
  const url = typeof request === "string" ? request : request.url;
  return url.startsWith("file:") ? Promise.resolve(new Response(fs.readFileSync(new URL(url)))) : fetchFromNet(request);
};
globalThis.createImageBitmap = async (blob) => ({ type: blob.type, bytes: Buffer.from(await blob.arrayBuffer()) });
globalThis.Worker = class {
  constructor(url) {
    const before = `const { parentPort } = require("node:worker_threads");
      globalThis.self = globalThis;
      self.postMessage = (message) => parentPort.postMessage(message);
      parentPort.on("message", (data) => self.onmessage({ data }));`;
    this.started = resolveObjectURL(url)
      .text()
      .then((source) => {
        const worker = new NodeWorker(before + source, { eval: true });
        worker.on("message", (data) => this.onmessage({ data }));
        return worker;
      });
  }
  postMessage(message) {
    this.started.then((worker) => worker.postMessage(message));
  }
  terminate() {
    this.started.then((worker) => worker.terminate());
  }
};

const THREE = await import(`${three}build/three.module.js`);
const { GLTFLoader } = await import(`${three}examples/jsm/loaders/GLTFLoader.js`);
const { DRACOLoader } = await import(`${three}examples/jsm/loaders/DRACOLoader.js`);

const draco = new DRACOLoader().setDecoderPath(`${three}examples/jsm/libs/draco/gltf/`);
const bytes = fs.readFileSync(file);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const gltf = await new GLTFLoader().setDRACOLoader(draco).parseAsync(buffer, "");
gltf.scene.updateMatrixWorld(true);

const seen = { roots: gltf.scene.children.map((each) => each.name), nodes: [], meshes: [], cameras: [] };
const values = (attribute, size) => {
  const rows = [];
  for (let i = 0; attribute && i < attribute.count; i++) {
    rows.push(Array.from({ length: size }, (_, k) => attribute.getComponent(i, k)));
  }
  return rows;
};
gltf.scene.traverse((node) => {
  seen.nodes.push({ name: node.name, stored: node.userData.name ?? node.name, extras: node.userData });
  if (node.isMesh) {
    const { attributes, index } = node.geometry;
    const points = attributes.position.clone().applyMatrix4(node.matrixWorld);
    const map = node.material.map;
    const box = new THREE.Box3().setFromObject(node);
    seen.meshes.push({
      points: values(points, 3),
      texels: values(attributes.uv, 2),
      colours: values(attributes.color, 3), // linear
      index: Array.from(index.array),
      box: [box.min.toArray(), box.max.toArray()],
      texture: map && { type: map.image.type, bytes: map.image.bytes.toString("base64"), flipped: map.flipY },
      material: [node.material.metalness, node.material.roughness, node.material.color.toArray()],
    });
  }
  if (node.isPerspectiveCamera) {
    const { name, fov, aspect, near, far } = node;
    seen.cameras.push({ name, fov, aspect, near, far, matrix: node.matrixWorld.toArray(), extras: node.userData });
  }
});
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
