// Prints the findings of Khronos' validator as JSON: node validate.mjs FOLDER-OF-NODE-MODULES FILE
import fs from "node:fs";
import { createRequire } from "node:module";

const [modules, file] = process.argv.slice(2);
const validator = createRequire(`${modules}/`)("gltf-validator");
const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)));
console.log(JSON.stringify(report.issues.messages));
