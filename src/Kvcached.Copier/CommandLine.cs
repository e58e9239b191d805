using System.Globalization;
using Kvcached.Core.Ids;
using Kvcached.Gpu.HostMemory;
using Kvcached.Gpu.Memory;

namespace Kvcached.Copier;

/// <summary>What the copier was started to do.</summary>
/// <param name="IsSelfCheck">True for the self-check, false to serve a host.</param>
/// <param name="Memory">The device.</param>
/// <param name="SocketPath">Path of the host's socket to connect to; null when it is inherited.</param>
/// <param name="SocketDescriptor">The inherited socket; null when there is a path.</param>
internal sealed record CommandLine(bool IsSelfCheck, VirtualMemoryRequest Memory, string? SocketPath, int? SocketDescriptor)
{
    public const string Usage = """
        usage: kvcached-copier [serve] --backend host|cuda [--gpu UUID|INDEX] (--socket-fd N | --socket-path PATH)
               kvcached-copier self-check --backend host|cuda [--gpu UUID|INDEX]

          serve       work for one host, over a connected sequenced-packet Unix socket; ends when the host does
          self-check  map, stamp, verify and corrupt memory in this process alone, and print "N passed, N failed"
          --backend   host: main memory; cuda: an NVIDIA GPU
          --gpu       the GPU's UUID, or its index; for main memory the id to go by. Default: the first, HOST-0
        """;

    /// <summary>Reads the arguments. Returns null, with what is wrong, when they make no sense.</summary>
    public static CommandLine? Parse(string[] arguments, out string problem)
    {
        problem = string.Empty;
        var isSelfCheck = arguments is ["self-check", ..];
        var first = arguments is ["serve" or "self-check", ..] ? 1 : 0;
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = first; i < arguments.Length; i += 2)
        {
            if (arguments[i] is not ("--backend" or "--gpu" or "--socket-fd" or "--socket-path") || i + 1 == arguments.Length
                || !values.TryAdd(arguments[i], arguments[i + 1]))
            {
                problem = $"{arguments[i]} is unknown, has no value, or is given twice.";
                return null;
            }
        }

        if (RequestOf(values, out problem) is not { } memory)
        {
            return null;
        }

        var path = values.GetValueOrDefault("--socket-path");
        var descriptor = values.TryGetValue("--socket-fd", out var text) && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : (int?)null;
        if (!isSelfCheck && (path is null) == (descriptor is null))
        {
            problem = "One of --socket-fd and --socket-path is needed, as a number and a path.";
            return null;
        }

        return new CommandLine(isSelfCheck, memory, path, descriptor);
    }

    private static VirtualMemoryRequest? RequestOf(Dictionary<string, string> values, out string problem)
    {
        problem = string.Empty;
        BackendChoice? backend = values.GetValueOrDefault("--backend") switch
        {
            "host" => BackendChoice.Host,
            "cuda" => BackendChoice.Cuda,
            _ => null,
        };
        if (backend is not { } chosen)
        {
            problem = "--backend must be host or cuda.";
            return null;
        }

        // Extents come in whatever granularity the host lends; the smallest that there is takes them all.
        var request = new VirtualMemoryRequest
        {
            Backend = chosen,
            Host = new HostVirtualMemoryOptions { GranularityBytes = Environment.SystemPageSize },
        };
        if (!values.TryGetValue("--gpu", out var gpu))
        {
            return request;
        }

        if (int.TryParse(gpu, NumberStyles.None, CultureInfo.InvariantCulture, out var index))
        {
            return request with { Index = index };
        }

        if (GpuId.TryParse(gpu, out var id))
        {
            return request with { Gpu = id };
        }

        problem = $"'{gpu}' is no GPU: give its UUID or its index.";
        return null;
    }
}
