/**
 * What a publisher may have in flight: so many messages of the stream and so many bytes. After a refusal only a few, and one
 * more with each that is stored.
 */

const maxMessages = 8192;
const maxBytes = 16 * 1024 * 1024;
const cautiousMessages = 16;

export class Window {
  #sent = 0;
  #sentBytes = 0;
  #messages = maxMessages;

  get isOpen(): boolean {
    return this.#sent < this.#messages && this.#sentBytes < maxBytes;
  }

  take(bytes: number): void {
    this.#sent += 1;
    this.#sentBytes += bytes;
  }

  free(bytes: number): void {
    this.#sent -= 1;
    this.#sentBytes -= bytes;
  }

  refused(): void {
    this.#messages = cautiousMessages;
  }

  stored(): void {
    if (this.#messages < maxMessages) this.#messages += 1;
  }
}
