using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Kvcached.Router.Models;
using Kvcached.Router.Traffic;

namespace Kvcached.Router.Configuration;

/// <summary>
/// Reads the file of models anew when its content changes, looked at every second, or at once upon SIGHUP. A file that has mistakes changes nothing; what is wrong is
/// logged, once for each content.
/// </summary>
internal sealed partial class ModelsReload(RouterOptions options, ModelTable table, RouterMetrics metrics, TimeProvider time, ILogger<ModelsReload> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private byte[] _lastHash = Hash(options.ModelsPath);

    /// <summary>Looks at the file.</summary>
    /// <param name="isForced">Whether it is read even if its content is the same.</param>
    public void Look(bool isForced)
    {
        lock (_gate)
        {
            var hash = Hash(options.ModelsPath);
            if (!isForced && hash.AsSpan().SequenceEqual(_lastHash))
            {
                return;
            }

            _lastHash = hash;
            var read = ModelsFileReader.ReadFile(options.ModelsPath);
            metrics.Reloaded(read.Errors.IsEmpty);
            if (!read.Errors.IsEmpty)
            {
                LogFailed(options.ModelsPath, string.Join(" ", read.Errors));
                return;
            }

            table.Apply(read.Models);
            LogReloaded(options.ModelsPath, read.Models.Length);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true;
            Look(isForced: true);
        });
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            Look(isForced: false);
        }
    }

    // A file that can't be read has a content of its own.
    private static byte[] Hash(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            return SHA256.HashData(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    [LoggerMessage(RouterEventIds.Reloaded, LogLevel.Information, "{File} was read anew: {ModelCount} models")]
    private partial void LogReloaded(string file, int modelCount);

    [LoggerMessage(RouterEventIds.ReloadFailed, LogLevel.Error, "{File} has changed but is not taken over, nothing is changed: {Errors}")]
    private partial void LogFailed(string file, string errors);
}
