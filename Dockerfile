# The daemon's image: one static binary and CA certificates, nothing else. No shell, no library.
#
#   docker build --tag blackbox-daemon:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/blackbox-daemon:0.1.0 --push .
#
# Everything is compiled on the machine that builds, for the image's platform (amd64 or arm64): nothing is emulated.
# `cargo xtask image` builds it without Docker, and where no base image can be pulled.

# Pinned by release: Debian's security updates come in with each build. For a build that can be repeated byte for byte,
# pin the digest, and with it the compiler: --build-arg DEBIAN=debian@sha256:…
ARG DEBIAN=debian:bookworm-slim

# hadolint ignore=DL3006
FROM --platform=$BUILDPLATFORM ${DEBIAN} AS tools

# What `cargo xtask setup` would install, in a layer that lasts until this list changes. Versions are Debian's: its
# security archive keeps no old ones, so naming them would only break the build.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates cargo-web g++ gcc libc6-dev llvm-22-dev rust-web-src rustc-web zlib1g-dev \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 build

# As `build` from here on, but where Debian packages are installed.
USER 10001
RUN LLVM_PREFIX=/usr/lib/llvm-22 LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 \
    cargo install bpf-linker --version ^0.13 --locked --no-default-features --features llvm-22 \
    && mkdir /home/build/blackbox
WORKDIR /home/build/blackbox

# The kernel programs, for the image's platform.
FROM tools AS kernel
COPY --chown=build:build . .
ARG TARGETARCH
RUN case "${TARGETARCH:-$(dpkg --print-architecture)}" in \
        amd64) cpu=x86_64 ;; \
        arm64) cpu=aarch64 ;; \
        *) echo "no kernel programs for ${TARGETARCH}" >&2; exit 1 ;; \
    esac \
    && cargo xtask build-ebpf --arch "$cpu"

# A C compiler and the Rust library for the image's platform, if it is not the one that builds.
FROM kernel AS daemon
# hadolint ignore=DL3002
USER 0
ARG TARGETARCH
# hadolint ignore=DL3008
RUN own="$(dpkg --print-architecture)" && wanted="${TARGETARCH:-$own}" \
    && if [ "$wanted" != "$own" ]; then \
        case "$wanted" in amd64) gcc=x86-64 ;; arm64) gcc=aarch64 ;; esac \
        && dpkg --add-architecture "$wanted" && apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
            "gcc-$gcc-linux-gnu" "libc6-dev-$wanted-cross" "libstd-rust-web-dev:$wanted" \
        && rm -rf /var/lib/apt/lists/*; \
    fi

# Static, so that it needs no other file; with --target, or the flag would reach build scripts and macros too. Paths of
# this stage are of no use to anyone and would make builds differ.
USER 10001
RUN case "${TARGETARCH:-$(dpkg --print-architecture)}" in amd64) cpu=x86_64 ;; arm64) cpu=aarch64 ;; esac \
    && target="$cpu-unknown-linux-gnu" \
    && CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs --remap-path-prefix=/home/build=." \
        cargo build --locked --profile dist --package blackbox-daemon --bin blackbox-daemon --target "$target" \
    && cp "target/$target/dist/blackbox-daemon" /home/build/blackbox-daemon

FROM scratch

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="blackbox-daemon" \
      org.opencontainers.image.description="A node flight recorder: who killed it, and why" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# For reports to https:// URLs.
COPY --from=daemon /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=daemon --chown=0:0 /home/build/blackbox-daemon /blackbox-daemon

# REST API and metrics.
EXPOSE 8080 9090

# No USER: it starts as uid 0 with CAP_BPF and CAP_PERFMON (a runtime gives other users no capabilities), and gives up
# every capability, and most system calls, once the kernel programs run.
ENTRYPOINT ["/blackbox-daemon"]
