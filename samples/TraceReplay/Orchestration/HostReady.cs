using System.Globalization;
using System.Text.Json;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>What a host prints, as one line of JSON, once it listens.</summary>
/// <param name="Event"><c>ready</c>.</param>
/// <param name="Gpu">Id of its GPU.</param>
/// <param name="Port">Port of Akka.Remote.</param>
/// <param name="ManagementPort">Port of the management HTTP.</param>
/// <param name="Pid">Its process id.</param>
/// <param name="Socket">Its Unix socket for engines.</param>
/// <param name="TokenFile">File with the token that changes need.</param>
internal sealed record HostReady(string Event, string Gpu, int Port, int ManagementPort, int Pid, string Socket = "", string TokenFile = "")
{
    /// <summary>For people: where the domain can be looked at, and changed.</summary>
    public string WhereToLook() => string.Create(CultureInfo.InvariantCulture,
        $"Page: http://127.0.0.1:{ManagementPort}/   kvctl: export KVCACHED_URL=http://127.0.0.1:{ManagementPort} KVCACHED_TOKEN_FILE={TokenFile}");

    /// <summary>Reads a line; null when it is another.</summary>
    public static HostReady? TryParse(string line)
    {
        if (!line.StartsWith('{'))
        {
            return null;
        }

        try
        {
            var ready = JsonSerializer.Deserialize<HostReady>(line, JsonSerializerOptions.Web);
            return ready is { Event: "ready", Gpu.Length: > 0, Port: > 0, ManagementPort: > 0 } ? ready : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
