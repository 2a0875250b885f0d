import { type SentinelConnectionOptions, SentinelConnector } from "ioredis";

/**
 * Follows the sentinels for as long as its client lives. ioredis 6 leaves the failover detector of a lost connection running
 * while it asks for the master again. If the sentinels announce a new master in that moment, the detector stops the attempt
 * that would have found it, and the client ends for good: its process would neither take nor add a job again.
 */
export class LastingSentinelConnector extends SentinelConnector {
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions);
    const connect = this["connectToSentinel"].bind(this);
    // Without a listener, ioredis prints each failed attempt to reach a sentinel.
    this["connectToSentinel"] = (...args: unknown[]) => connect(...args).on("error", () => {});
  }

  override connect(
    ...args: Parameters<SentinelConnector["connect"]>
  ): ReturnType<SentinelConnector["connect"]> {
    const detector = this["failoverDetector"] as { cleanup(): void } | null;
    detector?.cleanup();
    this["failoverDetector"] = null;
    return super.connect(...args);
  }
}
