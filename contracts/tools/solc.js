#!/usr/bin/env node
// A solc command line for forge over solc-js: answers --version and --standard-json, so that no compiler binary is fetched.
"use strict";
const solc = require("solc");

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  process.stdout.write(solc.compile(require("fs").readFileSync(0, "utf8")));
}
