# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
# The dependencies change rarely. Building them first, with placeholder sources, keeps them in a cached layer.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches \
 && echo 'fn main() {}' > src/main.rs && touch src/lib.rs && echo 'fn main() {}' > benches/exposition.rs \
 && cargo build --release --locked --bin myunisoft-exporter \
 && rm -r src benches
COPY src src
COPY benches benches
# Cargo compares modification times, and the real sources can be older than the placeholders.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin myunisoft-exporter \
 && mkdir -p /image/etc/myunisoft-exporter /image/var/lib/myunisoft-exporter

# This base image has the C library, the certificate authorities and an unprivileged user. It has no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/myunisoft-exporter /usr/bin/myunisoft-exporter
COPY --from=build --chown=65532:65532 /image/ /
USER 65532:65532
EXPOSE 10698
VOLUME ["/var/lib/myunisoft-exporter"]
ENV MYUNISOFT_EXPORTER_STORAGE_PATH=/var/lib/myunisoft-exporter
WORKDIR /etc/myunisoft-exporter
ENTRYPOINT ["/usr/bin/myunisoft-exporter"]
