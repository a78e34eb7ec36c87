# The daemon's image: one static binary and CA certificates, nothing else. No shell, no library.
#
#   docker build --tag blackbox-daemon:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/blackbox-daemon:0.1.0 --push .
#
# Each platform builds itself (natively or under emulation), so nothing here names one.

# Pinned by release: Debian's security updates come in with each build. For a build that can be repeated byte for byte,
# pin the digest, and with it the compiler: --build-arg DEBIAN=debian@sha256:…
ARG DEBIAN=debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${DEBIAN} AS build

# What `cargo xtask setup` would install, in a layer that lasts until this list changes. Versions are Debian's: its
# security archive keeps no old ones, so naming them would only break the build.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates cargo-web g++ gcc libc6-dev llvm-22-dev rust-web-src rustc-web zlib1g-dev \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 build

# Nothing from here on runs as root.
USER 10001
RUN LLVM_PREFIX=/usr/lib/llvm-22 LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 \
    cargo install bpf-linker --version ^0.13 --locked --no-default-features --features llvm-22 \
    && mkdir /home/build/blackbox
WORKDIR /home/build/blackbox
COPY --chown=build:build . .
RUN cargo xtask build-ebpf

# Static, so that it needs no other file; with --target, or the flag would reach build scripts and macros too. Paths of
# this stage are of no use to anyone and would make builds differ.
RUN target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/home/build=." \
        cargo build --locked --release --package blackbox-daemon --bin blackbox-daemon --target "$target" \
    && cp "target/$target/release/blackbox-daemon" /home/build/blackbox-daemon \
    && /home/build/blackbox-daemon --version

FROM scratch

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="blackbox-daemon" \
      org.opencontainers.image.description="A node flight recorder: who killed it, and why" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# For reports to https:// URLs.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=0:0 /home/build/blackbox-daemon /blackbox-daemon

# REST API and metrics.
EXPOSE 8080 9090

# No USER: it starts as uid 0 with CAP_BPF and CAP_PERFMON (a runtime gives other users no capabilities), and gives up
# every capability once the kernel programs run.
ENTRYPOINT ["/blackbox-daemon"]
