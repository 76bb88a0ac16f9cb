# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep the built dependencies between two builds of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin myunisoft-exporter \
 && install -D target/release/myunisoft-exporter /image/usr/bin/myunisoft-exporter \
 && mkdir -p /image/etc/myunisoft-exporter /image/var/lib/myunisoft-exporter

# This base image has the C library, the certificate authorities and an unprivileged user. It has no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/usr/bin/ /usr/bin/
COPY --from=build --chown=65532:65532 /image/etc/ /etc/
COPY --from=build --chown=65532:65532 /image/var/lib/ /var/lib/
USER 65532:65532
EXPOSE 10698
VOLUME ["/var/lib/myunisoft-exporter"]
ENV MYUNISOFT_EXPORTER_STORAGE_PATH=/var/lib/myunisoft-exporter
WORKDIR /etc/myunisoft-exporter
ENTRYPOINT ["/usr/bin/myunisoft-exporter"]
