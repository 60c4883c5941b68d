// Type-checks the golden Slack messages: each as the arguments of chat.postMessage,
// and its blocks as blocks of a message. Exits with 1 and names the file and the
// problem.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const folder = new URL('../../internal/slack/testdata/', import.meta.url);
const here = fileURLToPath(new URL('./', import.meta.url));

// documented adds what Slack documents and @slack/types 3.2.0 lacks; slack-go always
// sends it (docs.slack.dev/reference/block-kit/block-elements/rich-text-list-element).
const documented = `export {};
declare module '@slack/types' { interface RichTextList { offset?: number } }
`;

// moduleOf is a TypeScript module with the message as a literal, so that the
// compiler checks every property and value.
const moduleOf = (message) => `import type { KnownBlock } from '@slack/types';
import type { ChatPostMessageArguments } from '@slack/web-api';
export const message: ChatPostMessageArguments = ${JSON.stringify({ channel: 'C0123456789', ...message }, null, 2)};
export const blocks: KnownBlock[] = ${JSON.stringify(message.blocks, null, 2)};
`;

// check returns the problems of each module, by its name.
function check(modules) {
  const options = {
    strict: true,
    noEmit: true,
    types: [],
    skipLibCheck: true, // Slack's own files need types of Node
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  const paths = new Map([...modules].map(([name, text]) => [`${here}${name}.ts`, text]));
  host.fileExists = (path) => paths.has(path) || fileExists.call(host, path);
  host.readFile = (path) => paths.get(path) ?? readFile.call(host, path);
  host.getSourceFile = (path, ...rest) =>
    paths.has(path) ? ts.createSourceFile(path, paths.get(path), rest[0], true) : getSourceFile.call(host, path, ...rest);
  const program = ts.createProgram([...paths.keys()], options, host);
  const problems = new Map([...modules.keys()].map((name) => [name, []]));
  for (const d of ts.getPreEmitDiagnostics(program)) {
    const name = d.file?.fileName.slice(here.length, -'.ts'.length);
    const line = d.file ? d.file.text.split('\n')[d.file.getLineAndCharacterOfPosition(d.start).line].trim() : '';
    const list = problems.get(name) ?? problems.set('compiler', problems.get('compiler') ?? []).get('compiler');
    list.push(`${ts.flattenDiagnosticMessageText(d.messageText, ' ').slice(0, 300)} at ${line.slice(0, 120)}`);
  }
  return problems;
}

// The control must fail in both constants, or the check proves nothing.
const control = 'control';
const modules = new Map([['documented', documented], [control, moduleOf({ text: 'x', blocks: [{ type: 'header', text: { type: 'plain_txt', text: 'x' } }] })]]);
for (const name of readdirSync(folder)) {
  if (!/\.(card|reply|simple)\.json$/.test(name)) continue;
  modules.set(name, moduleOf(JSON.parse(readFileSync(new URL(name, folder), 'utf8'))));
}

const found = check(modules);
const failures = [];
if (found.get(control).length !== 2) failures.push(`control: ${found.get(control).length} problems, want 2: the check does not see a wrong block`);
if (modules.size === 2) failures.push(`no golden messages in ${folder.pathname}`);
found.delete(control);
for (const [name, problems] of found) failures.push(...new Set(problems.map((problem) => `${name}: ${problem}`)));
for (const failure of failures) console.error(failure);
console.log(`${modules.size - 2} Slack messages, ${failures.length} problems`);
process.exitCode = failures.length > 0 ? 1 : 0;
