// Checks the golden emails: their HTML with html-validate, and what mail programs
// make of it with caniemail. Exits with 1 and names the file and the problem.
import { readdirSync, readFileSync } from 'node:fs';
import { caniemail } from 'caniemail';
import { HtmlValidate } from 'html-validate';

const folder = new URL('../../internal/email/testdata/', import.meta.url);

const validator = new HtmlValidate({
  root: true,
  extends: ['html-validate:recommended'],
  rules: {
    'no-deprecated-attr': 'off', // Outlook for Windows reads align, bgcolor and width, and ignores some of the CSS for them
    'no-inline-style': 'off', // some mail programs drop style sheets
    'prefer-tbody': 'off', // rows without tbody are valid, and this is a matter of taste
    'no-trailing-whitespace': 'off', // an error is shown as it is
  },
});

const clients = [
  'apple-mail.ios',
  'apple-mail.macos',
  'fastmail.desktop-webmail',
  'gmail.android',
  'gmail.desktop-webmail',
  'gmail.ios',
  'hey.desktop-webmail',
  'outlook.android',
  'outlook.ios',
  'outlook.macos',
  'outlook.windows',
  'protonmail.android',
  'protonmail.desktop-webmail',
  'protonmail.ios',
  'samsung-email.android',
  'thunderbird.macos',
  'yahoo.android',
  'yahoo.desktop-webmail',
  'yahoo.ios',
];

// What some of them ignore without losing content. A feature that is not here fails
// the check where a mail program does not support it at all.
const accepted = {
  '@media': 'the email stays light; the light styles are inline',
  '<body> element': 'becomes a div; the outer table sets the layout',
  'border-radius': 'corners are square',
  'height property': 'max-height only backs up display:none of the preheader',
  'lang attribute': 'screen readers fall back to their own language',
  overflow: 'only backs up display:none of the preheader',
  'overflow-wrap': 'word-wrap and word-break are there too',
  'role attribute': 'screen readers also announce the layout tables',
  'table-layout': 'a long word can widen the table; the reader scrolls',
  'white-space': 'a long line of an error is wrapped by its cell, or the reader scrolls',
  'text-decoration': 'the button is underlined',
  'width attribute': 'the style sets the width',
  'word-break': 'overflow-wrap and word-wrap are there too',
  'word-wrap': 'overflow-wrap and word-break are there too',
};

// unsupported returns the features that a mail program does not support, with the
// lines. caniemail throws at a CSS property that has no data about the program:
// such a property is left out.
function unsupported(client, html) {
  for (;;) {
    try {
      const { issues } = caniemail({ clients: [client], html });
      return issues.errors.get(client) ?? [];
    } catch (error) {
      const property = /Feature "([a-z-]+)" not found/.exec(error.message)?.[1];
      const without = property && html.replaceAll(new RegExp(`([;"{])${property}:[^;"}]*;?`, 'g'), '$1');
      if (!without || without === html) throw error;
      html = without;
    }
  }
}

const problems = new Set();
const used = new Set();
const files = readdirSync(folder).filter((name) => name.endsWith('.html'));
for (const name of files) {
  const html = readFileSync(new URL(name, folder), 'utf8');
  const report = await validator.validateString(html, name);
  for (const { messages } of report.results) {
    for (const m of messages) problems.add(`${name}:${m.line}:${m.column}: ${m.message} (${m.ruleId})`);
  }
  for (const client of clients) {
    for (const { title } of unsupported(client, html)) {
      if (title in accepted) used.add(title);
      else problems.add(`${name}: ${client} does not support ${title}`);
    }
  }
}
if (files.length === 0) problems.add(`no golden emails in ${folder.pathname}`);
for (const title of Object.keys(accepted)) {
  if (!used.has(title)) problems.add(`email.mjs: ${title} is accepted without need`);
}
for (const problem of problems) console.error(problem);
console.log(`${files.length} emails, ${problems.size} problems`);
process.exitCode = problems.size > 0 ? 1 : 0;
