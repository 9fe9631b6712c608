// Checks activities against other SDKs: the schema of @microsoft/agents-activity, which throws at runtime,
// and the types of botframework-schema, which the TypeScript compiler checks.
//
// usage: node schema.mjs FILE     FILE has one JSON object per line: {"label"} and one of {"activity"},
//             {"parameters"} (of a new conversation) and {"response": {"status", "body"}} (to an invoke)
//
// Exit status: 0 all conform, 1 some do not (each is named), 2 wrong usage.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Activity } from '@microsoft/agents-activity';
import ts from 'typescript';

const [file] = process.argv.slice(2);
if (!file) {
  console.error('usage: node schema.mjs FILE');
  process.exit(2);
}
const entries = readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const problems = [...entries.flatMap(againstSchema), ...againstTypes(entries)];
for (const problem of problems) console.error(problem);
console.log(`${entries.length} activities and responses, ${problems.length} problems`);
process.exit(problems.length === 0 && entries.length > 0 ? 0 : 1);

function againstSchema({ label, activity }) {
  if (!activity) return [];
  try {
    Activity.fromObject(activity);
    return [];
  } catch (error) {
    const issues = error.issues ?? [error];
    return issues.map((issue) => `${label}: schema: ${(issue.path ?? []).join('.')}: ${issue.message}`);
  }
}

/** Compiles a module in which each activity is a value that must be of its type. Nothing is written to the disk. */
function againstTypes(entries) {
  const preamble = readFileSync(new URL('schema-types.ts', import.meta.url), 'utf8');
  const names = [];
  const values = [];
  const declare = (label, type, value) => {
    values.push(`export const value${names.push(label)}: ${type} = ${value};`);
  };
  for (const { label, activity, parameters, response } of entries) {
    if (parameters) {
      declare(label, 'Parameters', `open(${source(parameters)})`);
      continue;
    }
    if (response) {
      declare(label, responseType(response), source(response));
      continue;
    }
    // Members that the types do not know are allowed, because activities are open.
    declare(label, 'Sent', `open(${source(activity)})`);
    for (const { contentType, content } of activity.attachments ?? []) {
      const type = { hero: 'Card', thumbnail: 'Card' }[contentType.replace('application/vnd.microsoft.card.', '')];
      if (type) declare(`${label}: ${contentType}`, type, source(content));
    }
  }
  const first = preamble.split('\n').length;
  const text = [preamble, ...values].join('\n');
  // The virtual file is beside this script, so that its imports find the packages.
  const path = fileURLToPath(new URL('schema.generated.ts', import.meta.url));
  const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], module: ts.ModuleKind.NodeNext };
  const host = ts.createCompilerHost(options);
  const [read, exists] = [host.getSourceFile, host.fileExists];
  host.fileExists = (name) => name === path || exists.call(host, name);
  host.getSourceFile = (name, ...more) =>
    name === path ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022) : read.call(host, name, ...more);
  const program = ts.createProgram([path], { ...options, target: ts.ScriptTarget.ES2022 }, host);
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const at = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line;
    const why = ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ');
    return `${names[at - first] ?? `line ${at}`}: types: ${why}`;
  });
}

function responseType({ body }) {
  if (body?.type === 'application/vnd.microsoft.search.searchResponse') return 'InvokeResponse<SearchInvokeResponse>';
  // The value of a message response is a text, which the type of the package does not allow.
  if (typeof body?.value === 'string') return "InvokeResponse<Omit<AdaptiveCardInvokeResponse, 'value'> & { value: string }>";
  return body?.statusCode ? 'InvokeResponse<AdaptiveCardInvokeResponse>' : 'InvokeResponse';
}

/** A value as TypeScript. Moments are dates there, as clients read them. */
function source(value) {
  const moments = ['timestamp', 'localTimestamp', 'expiration'];
  const entries = Object.entries(value);
  const members = entries.map(([name, member]) => {
    const text = JSON.stringify(member);
    return `${JSON.stringify(name)}: ${moments.includes(name) && typeof member === 'string' ? `new Date(${text})` : text}`;
  });
  return `{ ${members.join(', ')} }`;
}
