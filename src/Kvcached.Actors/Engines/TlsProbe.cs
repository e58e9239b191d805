using System.Collections.Immutable;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Kvcached.Actors.Engines;

/// <summary>Finds out, when nobody answered, whether that is since hosts speak TLS and the engine doesn't.</summary>
internal static class TlsProbe
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Those of the hosts that present a certificate. Never throws.</summary>
    /// <param name="hosts">As <c>host:port</c>.</param>
    public static async Task<ImmutableArray<string>> FindAsync(ImmutableArray<string> hosts)
    {
        var speak = await Task.WhenAll(hosts.Select(SpeaksTlsAsync)).ConfigureAwait(false);
        return [.. hosts.Zip(speak).Where(pair => pair.Second).Select(pair => pair.First)];
    }

    private static async Task<bool> SpeaksTlsAsync(string host)
    {
        var hasCertificate = false;
        using var timeout = new CancellationTokenSource(Patience);
        try
        {
            var colon = host.LastIndexOf(':');
            using var client = new TcpClient();
            await client.ConnectAsync(host[..colon].Trim('[', ']'), int.Parse(host[(colon + 1)..], System.Globalization.CultureInfo.InvariantCulture), timeout.Token).ConfigureAwait(false);
            using var stream = new SslStream(client.GetStream(), leaveInnerStreamOpen: false, SeeAndRefuse);
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "kvcached" }, timeout.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or SocketException or AuthenticationException or OperationCanceledException or FormatException or ArgumentException or OverflowException)
        {
            // As it must: the certificate, if there was one, is never taken.
        }

        return hasCertificate;

        bool SeeAndRefuse(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
        {
            hasCertificate = certificate is not null;
            return false;
        }
    }
}
