/** So many requests on end left unanswered, and Vault is asked whether it answers at all. */
const ASKED_AFTER = 3;

/**
 * Tells a Vault that hangs from an engine that does: a database that is away makes its own leases' renewals time out, and that is held
 * against those leases; a Vault that answers nothing says nothing about any lease.
 */
export class VaultSilence {
  readonly #answers: () => Promise<boolean>;
  #unanswered = 0;
  #asking: Promise<boolean> | undefined;

  /** `answers` asks Vault for something that needs no engine. */
  constructor(answers: () => Promise<boolean>) {
    this.#answers = answers;
  }

  /** A request was answered, whatever the answer. */
  heard(): void {
    this.#unanswered = 0;
  }

  /** A request was not answered in time. True: Vault itself is silent. */
  async unheard(): Promise<boolean> {
    this.#unanswered += 1;
    if (this.#unanswered < ASKED_AFTER) return false;
    this.#asking ??= this.#answers().finally(() => {
      this.#asking = undefined;
    });
    if (!(await this.#asking)) return true;
    this.heard();
    return false;
  }
}
