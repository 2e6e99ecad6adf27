# Both images, from the folder that `cargo xtask image --stage` writes (`agora/` and `agora-operator/`: a binary, the
# libraries that it loads, CA roots, a passwd file). Works with buildah and docker; contains no shell and no package.
FROM scratch AS agora
COPY agora/ /
USER 65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENTRYPOINT ["/bin/agora"]

FROM scratch AS agora-operator
COPY agora-operator/ /
USER 65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENTRYPOINT ["/bin/agora-operator"]
