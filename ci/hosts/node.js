// SPDX-License-Identifier: MIT
// Node's child_process.
const { spawn } = require('child_process');
const fs = require('fs');
const { HOST_FOLDER, HOST_LEAF } = process.env;
const told = [];
const run = (status) => new Promise((resolve) => spawn(HOST_LEAF, [String(status)]).on('exit', (code) => resolve(code === status)));

(async () => {
  await run(0);
  fs.writeFileSync(HOST_FOLDER + '/ready', '');
  told.push(...await Promise.all([...Array(20).keys()].map((i) => run(100 + i))));
  while (!fs.existsSync(HOST_FOLDER + '/done')) told.push(await run(3));
  const right = told.filter(Boolean).length;
  console.log(`own ${right} right, ${told.length - right} wrong`);
})();
