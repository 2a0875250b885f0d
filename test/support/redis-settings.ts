/** What to add to the settings of a world to name another Redis, also if that of the world is a cluster. */
export const redisAt = (url: string) => ({ REDIS_URL: url, REDIS_CLUSTER_NODES: "" });

/** Nothing listens there. */
export const NO_REDIS = redisAt("redis://127.0.0.1:1");
