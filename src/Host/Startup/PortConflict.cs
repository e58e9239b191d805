using System.Net.Sockets;
using Kvcached.Host.Options;
using Microsoft.AspNetCore.Connections;

namespace Kvcached.Host.Startup;

/// <summary>Recognises, among what a start can throw, a port or address that can't be had.</summary>
internal static class PortConflict
{
    /// <summary>What to tell, or null when it is something else.</summary>
    public static StartFailure? Explain(Exception exception, KvcachedHostOptions options)
    {
        var causes = Flatten(exception).ToList();
        if (causes.OfType<SocketException>().FirstOrDefault() is not { } socket)
        {
            return null;
        }

        // Kestrel has an exception of its own for it; what comes without that is Akka.Remote's.
        var isManagement = causes.Any(cause => cause is AddressInUseException)
            || causes.Any(cause => cause.Source?.Contains("Kestrel", StringComparison.Ordinal) == true);
        var (key, endpoint) = isManagement
            ? (HostSettingCatalog.ManagementPort, $"port {options.ManagementPort}")
            : (HostSettingCatalog.Port, $"{options.Ranks.BindAddress}:{options.Ranks.Port}");
        return socket.SocketErrorCode switch
        {
            SocketError.AddressAlreadyInUse => new StartFailure(
                HostExitCode.PortInUse, $"{key}: {endpoint} is in use by another process; stop it, or choose another port, 0 for a free one."),
            SocketError.AddressNotAvailable => new StartFailure(
                HostExitCode.PortInUse, $"{HostSettingCatalog.Bind}: {options.Ranks.BindAddress} is no address of this machine."),
            SocketError.AccessDenied => new StartFailure(
                HostExitCode.PortInUse, $"{key}: {endpoint} may not be used by this user; choose a port from 1024, or 0 for a free one."),
            _ => null,
        };
    }

    private static IEnumerable<Exception> Flatten(Exception exception)
    {
        yield return exception;
        var inner = exception is AggregateException aggregate
            ? aggregate.InnerExceptions
            : exception.InnerException is { } single ? [single] : (IEnumerable<Exception>)[];
        foreach (var cause in inner.SelectMany(Flatten))
        {
            yield return cause;
        }
    }
}
