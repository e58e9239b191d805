namespace Kvcached.Host.Options;

/// <summary>PEM files of mutual TLS between hosts; looked at when the host starts.</summary>
/// <param name="CertificatePath">This host's certificate.</param>
/// <param name="KeyPath">Its private key.</param>
/// <param name="AuthorityPath">The domain's authority.</param>
internal sealed record TlsFiles(string CertificatePath, string KeyPath, string AuthorityPath);
