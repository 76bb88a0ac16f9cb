# docker build -t myunisoft-exporter .
#
# For amd64 and arm64: nothing below names an architecture. The build starts from one image, which is an argument so that
# a release can name it by its digest. The image that is published starts from nothing.
ARG RUST_IMAGE=rust:1.95-bookworm

# The dependencies, in layers that stay the same until a manifest changes.
FROM ${RUST_IMAGE} AS dependencies
WORKDIR /src
ENV CARGO_PROFILE_RELEASE_STRIP=symbols
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates/checked-yaml/Cargo.toml crates/checked-yaml/
COPY crates/partner-simulator/Cargo.toml crates/partner-simulator/
COPY crates/web-toolkit/Cargo.toml crates/web-toolkit/
# Cargo needs a file for each target that a manifest names. Empty files are enough for all but a program.
RUN set -eu; \
    for file in src/lib.rs src/main.rs crates/checked-yaml/src/lib.rs crates/partner-simulator/src/lib.rs \
        crates/web-toolkit/src/lib.rs benches/api.rs benches/fleet.rs benches/peer.rs tests/packages/main.rs tests/screenshots.rs tests/soak/main.rs \
        tests/system/main.rs; do \
        mkdir -p "${file%/*}"; : >"$file"; \
    done; \
    echo 'fn main() {}' >src/main.rs; \
    cargo build --release --locked --bin myunisoft-exporter

FROM dependencies AS build
COPY src src
COPY crates crates
COPY i18n.toml ./
COPY i18n i18n
# The build has no clone of the repository to read the revision from.
ARG REVISION=unknown
# Cargo compares times, and a source can be older than the empty file that stood for it.
RUN find src crates -name '*.rs' -exec touch {} + \
 && VERGEN_GIT_SHA="$REVISION" cargo build --release --locked --bin myunisoft-exporter
# What the program needs at run time, and nothing else: the libraries that it loads (the C library resolves host names
# without further files since version 2.34), the certificate authorities, and their licences.
RUN set -eu; \
    program=target/release/myunisoft-exporter; \
    install -D -t /image/usr/bin "$program"; \
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do cp -L --parents "$library" /image; done; \
    cp -L --parents /etc/ssl/certs/ca-certificates.crt /usr/share/doc/ca-certificates/copyright \
        /usr/share/doc/libc6/copyright /usr/share/doc/libgcc-s1/copyright /image; \
    mkdir -p /image/etc/myunisoft-exporter; \
    printf '%s\n' 'root:x:0:0:root:/:/usr/sbin/nologin' \
        'nonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin' >/image/etc/passwd; \
    printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' >/image/etc/group; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf; \
    install -d -m 1777 /image/tmp; \
    install -d -m 750 -o 65532 -g 65532 /data

FROM scratch
COPY --from=build /image/ /
COPY LICENSE NOTICE THIRD-PARTY-NOTICES.md /usr/share/doc/myunisoft-exporter/
# Docker and Podman copy this directory, with its owner, into a new volume.
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
# In a container, the demo has to listen on all addresses too. The health check reads the same variables as the exporter.
ENV MYUNISOFT_EXPORTER_STORAGE_PATH=/data \
    MYUNISOFT_EXPORTER_WEB_LISTEN_ADDRESS=:10698
WORKDIR /etc/myunisoft-exporter
VOLUME ["/data"]
EXPOSE 10698
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 \
    CMD ["/usr/bin/myunisoft-exporter", "healthcheck"]
ENTRYPOINT ["/usr/bin/myunisoft-exporter"]

# They come last, because they differ in each build.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="myunisoft-exporter" \
      org.opencontainers.image.description="Prometheus exporter for MyUnisoft's Partner API and the keys of a partner" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
