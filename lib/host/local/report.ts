/** Takes a line about progress, for people. */
export type Report = (line: string) => void;
