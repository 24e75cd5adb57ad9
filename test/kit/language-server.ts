/** The language server of the compiler, asked over its protocol as an editor asks it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import './orphans.ts';

const root = join(import.meta.dirname, '../..');

interface Answer {
  readonly id?: number | string;
  readonly method?: string;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class LanguageServer implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #unread = Buffer.alloc(0);
  #lastId = 0;

  private constructor() {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    this.#child = spawn(process.execPath, [tsc, '--lsp', '--stdio'], { cwd: root });
    this.#child.stdout.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the language server has ended'));
    });
  }

  static async start(): Promise<LanguageServer> {
    const server = new LanguageServer();
    await server.#request('initialize', {
      processId: process.pid,
      rootUri: pathToFileURL(root).href,
      capabilities: { textDocument: { hover: { contentFormat: ['markdown'] } } },
    });
    server.#send({ method: 'initialized', params: {} });
    return server;
  }

  /**
   * What an editor shows over the first occurrence of `word` after `text` in a file of this content.
   * @param path from the root; nothing is written there
   */
  async hover(path: string, content: string, word: string): Promise<string> {
    const uri = pathToFileURL(join(root, path)).href;
    this.#send({
      method: 'textDocument/didOpen',
      params: { textDocument: { uri, languageId: 'typescript', version: 1, text: content } },
    });
    const before = content.slice(0, content.indexOf(word)).split('\n');
    const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
    const hover = await this.#request('textDocument/hover', { textDocument: { uri }, position });
    this.#send({ method: 'textDocument/didClose', params: { textDocument: { uri } } });
    return (hover as { contents?: { value?: string } } | null)?.contents?.value ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill();
    await exit;
  }

  #request(method: string, params: unknown): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    this.#send({ id, method, params });
    return answer.promise;
  }

  #send(message: object): void {
    const text = JSON.stringify({ jsonrpc: '2.0', ...message });
    this.#child.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  #read(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    for (;;) {
      const end = this.#unread.indexOf('\r\n\r\n');
      const [, length] = /Content-Length: (\d+)/i.exec(this.#unread.subarray(0, end).toString()) ?? [];
      if (end === -1 || length === undefined || this.#unread.length < end + 4 + Number(length)) return;
      const body = this.#unread.subarray(end + 4, end + 4 + Number(length)).toString();
      this.#unread = this.#unread.subarray(end + 4 + Number(length));
      this.#receive(JSON.parse(body) as Answer);
    }
  }

  #receive({ id, method, result, error }: Answer): void {
    // The server asks for settings and for permission to show progress: an empty answer is enough.
    if (method !== undefined) {
      if (id !== undefined) this.#send({ id, result: method === 'workspace/configuration' ? [null] : null });
      return;
    }
    const answer = this.#waiting.get(Number(id));
    this.#waiting.delete(Number(id));
    if (error) answer?.reject(new Error(error.message));
    else answer?.resolve(result);
  }
}
