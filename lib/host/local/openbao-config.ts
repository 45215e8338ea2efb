/** A file audit device, declared in the configuration: OpenBao refuses to create one by its API. */
export interface AuditFile {
  readonly name: string;
  readonly filePath: string;
  /** Further options of the device, as in OpenBao's documentation (`log_raw`, `hmac_accessor`, …). */
  readonly options?: Readonly<Record<string, string>>;
}

/** What the configuration of a single-node server depends on. */
export interface OpenBaoSettings {
  readonly raftFolder: string;
  readonly sealKeyFile: string;
  readonly port: number;
  readonly clusterPort: number;
  readonly audit?: AuditFile | undefined;
}

/**
 * OpenBao's configuration as JSON (which it reads as it reads HCL): raft storage, the static seal, one listener without
 * TLS on the loopback address. `disable_mlock` is not set: OpenBao does not lock memory and calls the field unknown.
 */
export function openBaoConfig(settings: OpenBaoSettings): string {
  const { audit } = settings;
  const address = `127.0.0.1:${settings.port}`;
  const clusterAddress = `127.0.0.1:${settings.clusterPort}`;
  return JSON.stringify({
    // The default multiplier is 5: elections of a single node would only take longer.
    storage: { raft: { path: settings.raftFolder, node_id: 'local', performance_multiplier: '1' } },
    seal: { static: { current_key_id: 'local-1', current_key: `file://${settings.sealKeyFile}` } },
    listener: { tcp: { address, cluster_address: clusterAddress, tls_disable: true } },
    api_addr: `http://${address}`,
    cluster_addr: `https://${clusterAddress}`,
    // Without a second field beside `options`, OpenBao's JSON reader takes that word for a third label and refuses.
    ...(audit && {
      audit: {
        file: {
          [audit.name]: {
            description: 'Leasekeeper',
            options: { ...audit.options, file_path: audit.filePath },
          },
        },
      },
    }),
  });
}
