using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kvcached.Actors.Hosting;

/// <summary>
/// Mutual TLS between the hosts of a domain: each shows a certificate of the domain's own authority, and talks only to who does. Whom that authority has given a certificate
/// is a host; names in it aren't looked at, since hosts are known by address and may move.
/// </summary>
public sealed class RemotingTls : IDisposable
{
    private readonly X509Certificate2Collection _authorities;

    private RemotingTls(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        Certificate = certificate;
        _authorities = authorities;
    }

    /// <summary>What this host shows, with its private key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>Reads PEM files.</summary>
    /// <param name="certificatePath">This host's certificate.</param>
    /// <param name="keyPath">Its private key, not encrypted.</param>
    /// <param name="authorityPath">The certificates of the authority, one or more.</param>
    /// <param name="tls">What was read.</param>
    /// <param name="problem">Which file can't be used and why, and what to do.</param>
    public static bool TryLoad(string certificatePath, string keyPath, string authorityPath, [NotNullWhen(true)] out RemotingTls? tls, [NotNullWhen(false)] out string? problem)
    {
        (tls, problem) = (null, null);
        try
        {
            var authorities = new X509Certificate2Collection();
            authorities.ImportFromPemFile(authorityPath);
            if (authorities.Count == 0)
            {
                problem = $"{authorityPath} holds no certificate in PEM form.";
                return false;
            }

            // The TLS layer wants a key that isn't only in the passing memory of this object.
            using var read = X509Certificate2.CreateFromPemFile(certificatePath, keyPath);
            var loaded = new RemotingTls(X509CertificateLoader.LoadPkcs12(read.Export(X509ContentType.Pkcs12), null), authorities);
            if (loaded.FindFault(loaded.Certificate) is { } fault)
            {
                loaded.Dispose();
                problem = $"{certificatePath} isn't a certificate that {authorityPath} vouches for now: {fault}. Others would refuse this host; have it signed by that authority.";
                return false;
            }

            tls = loaded;
            return true;
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException or CryptographicException)
        {
            problem = $"{certificatePath}, {keyPath} or {authorityPath} can't be read: {unreadable.Message} They must be PEM files, the key that of the certificate and not encrypted.";
            return false;
        }
    }

    /// <summary>Why a certificate isn't one of this authority, now; null when it is.</summary>
    public string? FindFault(X509Certificate2? certificate)
    {
        if (certificate is null)
        {
            return "there is none";
        }

        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(_authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        return chain.Build(certificate) ? null : string.Join(", ", chain.ChainStatus.Select(status => status.StatusInformation.Trim()).Distinct());
    }

    public void Dispose()
    {
        Certificate.Dispose();
        foreach (var authority in _authorities)
        {
            authority.Dispose();
        }
    }
}
