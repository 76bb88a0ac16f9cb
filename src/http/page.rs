//! The landing page.

use axum::extract::State;
use axum::response::Html;

use super::Site;

/// Where everything is.
pub(super) async fn landing(State(site): State<Site>) -> Html<String> {
    let link =
        |path: &str, what: &str| format!("<li><a href=\"{}{path}\">{path}</a>: {what}</li>\n", site.prefix);
    let links = [
        link("/metrics", "what is known, for Prometheus"),
        link("/sd", "the configured keys, for Prometheus' HTTP service discovery"),
        link("/-/healthy", "whether the process is alive"),
        link("/-/ready", "whether the probe loop runs"),
    ];
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>myunisoft-exporter</title>\n\
         <h1>myunisoft-exporter</h1>\n<p>Watches MyUnisoft's Partner API and the keys a partner holds. \
         Version {}.</p>\n<ul>\n{}</ul>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        links.concat(),
    ))
}
