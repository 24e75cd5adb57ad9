/** The compiler of the project. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Compiles a project of `root` into `outDir`. @throws when it has errors, which are printed */
export function compile(root: string, project: string, outDir: string): void {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', project, '--outDir', outDir], { cwd: root, stdio: 'inherit' });
}
