"""Writes the configuration of a fleet. Each token is in a file of its own."""

SECRET = "the-partners-secret"


def token_of(number):
    return f"{'a' * 40}.{number}"


def write(folder, settings, keys):
    """`settings`: the configuration without its partners, as YAML."""
    (folder / "tokens").mkdir(parents=True)
    (folder / "secret").write_text(SECRET)
    for number in range(keys):
        (folder / "tokens" / str(number)).write_text(token_of(number))
    lines = [f"      - {{name: customer-{n}, access: society, token_file: tokens/{n}}}\n" for n in range(keys)]
    partners = f"partners:\n  - name: acme\n    secret_file: secret\n    keys:\n{''.join(lines)}"
    (folder / "exporter.yml").write_text(f"{settings.strip()}\n{partners}")
