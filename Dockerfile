# Tollgate without a PostgreSQL of its own: DATABASE_URL must be set. One volume: /app/data, where settlements wait on the disk
# that the database could not take. Everything else of the container may be read-only.

# The Node the repository pins in package.json.
FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Optional packages are the embedded PostgreSQL's binaries, 60 MB. No script of a package is needed, so none runs.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-progress

# The app that opens at /. Its tools stay in this stage.
FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS app
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci --ignore-scripts --no-progress
COPY web ./web
COPY src/metering ./src/metering
COPY providers/decimal.ts ./providers/decimal.ts
RUN npm run build:web

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
ENV NODE_ENV=production \
    TOLLGATE_HOST=0.0.0.0 \
    TOLLGATE_PORT=8084 \
    TOLLGATE_DATA_DIR=/app/data
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json config.yaml ./
COPY bin ./bin
COPY sql ./sql
COPY providers ./providers
COPY src ./src
COPY --from=app /app/web/dist ./web/dist
# A number: orchestrators that forbid root can't look a name up. A new volume takes over the owner of this folder.
RUN mkdir -m 0700 data && chown 10001:10001 data
USER 10001:10001
VOLUME /app/data
EXPOSE 8084

# Liveliness, not readiness: what is unhealthy gets restarted, and a restart mends neither a database that is away nor a
# process that is draining; it would only cut the calls that run. Balancers ask /health/readiness themselves.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.TOLLGATE_PORT + '/health/liveliness', { signal: AbortSignal.timeout(4000) }).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

# Drains: running calls get tollgate.limits.drain_seconds (30), their callers 5 more, the last settlements 20. Whoever stops the
# container should wait longer than that: docker stop --time 70.
STOPSIGNAL SIGTERM
CMD ["node", "src/main.ts", "start"]
