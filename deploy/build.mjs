// Builds dist/: tsc compiles every file, for the tests and the declarations;
// esbuild makes of that what is run and published: few large files in
// dist/lib, with what is needed only sometimes (log, gRPC, disk) in chunks of
// their own. Then the declarations of the embedding interface, the licences of
// what was bundled, and the stamp that setup.mjs compares.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const entryPoints = { index: 'node/index.js', main: 'node/main.js', warrenctl: 'node/cli/warrenctl.js' };

// What bundled packages ask for and we never use. The raft port asks one
// constant of a file that would load a whole framework (the module that
// answers for it when nothing is bundled is not needed here); grpc-js reads
// the description of a service that we don't offer.
const leftOut = {
  name: 'left-out',
  setup(build) {
    build.onLoad({ filter: /non-ported[\\/]raft-controller\.js$/ }, () => ({
      contents: 'module.exports = { emptyRaftData: null };',
      loader: 'js',
    }));
    build.onLoad({ filter: /port-prefill\.js$/ }, () => ({ contents: '', loader: 'js' }));
    build.onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ path }) => ({ path, namespace: 'left-out' }));
    build.onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path }) => ({
      contents: `module.exports = { loadSync() { throw new Error('${path} is not part of this package'); } };`,
    }));
  },
};

const startedAt = new Date();
rmSync(dist, { recursive: true, force: true });
compile();
copyProto();
noteLicences(await bundle());
publishDeclarations('node/index.d.ts');
await writeConfigurationDoc();
// As old as what went in: a source that changed meanwhile is newer.
writeFileSync(join(dist, 'stamp'), `${startedAt.toISOString()}\n`);
utimesSync(join(dist, 'stamp'), startedAt, startedAt);

function compile() {
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root], { stdio: 'inherit' });
  } catch {
    console.error('build: the sources do not compile, see above');
    process.exit(1);
  }
}

// Beside the files of tsc; those of dist/lib find it at its own place.
function copyProto() {
  mkdirSync(join(dist, 'proto/peer'), { recursive: true });
  for (const name of readdirSync(join(root, 'proto/peer'))) {
    if (name.endsWith('.proto')) cpSync(join(root, 'proto/peer', name), join(dist, 'proto/peer', name));
  }
}

// Names stay as they are: stacks in bug reports have to be readable.
async function bundle() {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { metafile } = await build({
    entryPoints: Object.entries(entryPoints).map(([out, file]) => ({ in: join(dist, file), out })),
    outdir: join(dist, 'lib'),
    bundle: true,
    splitting: true,
    chunkNames: 'chunk-[hash]',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: Object.keys(dependencies),
    legalComments: 'eof',
    logLevel: 'warning',
    metafile: true,
    banner: {
      js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
    },
    plugins: [leftOut],
  });
  const packages = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (name !== undefined) packages.add(name);
  }
  return packages;
}

// The licence texts of what was bundled travel with it; NOTICE names each.
function noteLicences(packages) {
  const folder = join(dist, 'licences');
  const notice = readFileSync(join(root, 'NOTICE'), 'utf8');
  mkdirSync(folder, { recursive: true });
  for (const name of packages) {
    const from = join(root, 'node_modules', name);
    const texts = readdirSync(from).filter((entry) => /^(licen[cs]e|notice|copying)/i.test(entry));
    const { version, license } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
    if (!notice.includes(name)) throw new Error(`build: ${name} is bundled and NOTICE does not name it`);
    if (texts.length === 0) throw new Error(`build: ${name} is bundled and has no licence text`);
    const head = `${name} ${version} (${license}), bundled into dist/lib\n`;
    const body = texts.map((entry) => readFileSync(join(from, entry), 'utf8')).join('\n');
    writeFileSync(join(folder, `${name.replace('/', '-')}.txt`), `${head}\n${body}`);
  }
}

// The declarations that an embedding program can reach, and no others.
function publishDeclarations(entry) {
  const waiting = [entry];
  const seen = new Set(waiting);
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const text = readFileSync(join(dist, file), 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/m, '');
    mkdirSync(dirname(join(dist, 'types', file)), { recursive: true });
    writeFileSync(join(dist, 'types', file), text);
    for (const [, target] of text.matchAll(/(?:from|import\()\s*['"](\.[^'"]+)['"]/g)) {
      const path = relative(dist, join(dist, dirname(file), target.replace(/\.[jt]s$/, '.d.ts')));
      if (!seen.has(path)) waiting.push(path);
      seen.add(path);
    }
  }
}

// A checkout only: a published package has no docs folder.
async function writeConfigurationDoc() {
  const target = join(root, 'docs/configuration.md');
  const { configurationDoc } = await import(new URL('../dist/node/config/configuration-doc.js', import.meta.url).href);
  const content = configurationDoc();
  if (existsSync(target) && readFileSync(target, 'utf8') !== content) writeFileSync(target, content);
}
