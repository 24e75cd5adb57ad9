/** An object of an API whose fields only the test knows. */
// biome-ignore lint/suspicious/noExplicitAny: tests read whatever fields an object should have.
export type Any = any;
