# The server in a small image: built with its dependencies cached apart, run by a user who owns nothing.
FROM node:22-bookworm-slim AS playground
WORKDIR /src
COPY scripts/playground scripts/
COPY src/http/playground src/http/playground
RUN scripts/playground

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src

# Dependencies first, against empty sources: this layer is made anew only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY migration/Cargo.toml migration/
COPY tests/faults/Cargo.toml tests/faults/
COPY tests/without-lock/Cargo.toml tests/without-lock/
RUN mkdir -p benches src migration/src tests/faults/src tests/it \
    && echo 'fn main() {}' | tee benches/decide.rs benches/documents.rs src/main.rs tests/faults/src/main.rs \
        tests/without-lock/build.rs > tests/it/main.rs \
    && touch src/lib.rs migration/src/lib.rs tests/faults/src/lib.rs \
    && cargo build --release --locked --package rowlock \
    && rm -r src migration/src

COPY build.rs ./
COPY src src
COPY --from=playground /src/src/http/playground/dist src/http/playground/dist
COPY migration/src migration/src
# Cargo goes by times, and the empty sources may be newer than the real ones.
RUN find build.rs src migration/src -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --package rowlock

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin rowlock
COPY --from=build /src/target/release/rowlock /usr/local/bin/rowlock
USER rowlock
ENV ROWLOCK_LISTEN=0.0.0.0:8080 ROWLOCK_LOG_FORMAT=json
EXPOSE 8080
# The image has no HTTP client, and bash is one that is good enough for this.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && grep --quiet '200 OK' <&3"]
ENTRYPOINT ["rowlock"]
CMD ["serve"]
