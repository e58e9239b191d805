using System.Globalization;
using Kvcached.Core.Units;

namespace Kvcached.TraceReplay.Display;

/// <summary>A line every few seconds, for logs and pipes.</summary>
internal sealed class PlainView(TextWriter output, TimeProvider time) : IProgressView
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    public void Say(string line) => output.WriteLine(line);

    public async Task ShowAsync(Func<Action<RunPicture>, Task> work)
    {
        long last = 0;
        await work(picture =>
        {
            if (last != 0 && time.GetElapsedTime(last) < Interval)
            {
                return;
            }

            last = time.GetTimestamp();
            output.WriteLine(Describe(picture));
        });
    }

    /// <summary>The moment in one line.</summary>
    internal static string Describe(RunPicture picture)
    {
        var models = picture.Plan.Engines.Select((engine, index) => $"{engine.Name} {ByteSize.Format(picture.Reports[index]?.MappedBytes() ?? 0)}");
        return string.Create(CultureInfo.InvariantCulture,
            $"{picture.TraceTime:mm\\:ss}/{picture.Plan.Window:mm\\:ss}  {string.Join("  ", models)}  running {picture.Sum(r => r.Running)} waiting {picture.Sum(r => r.Waiting)} finished {picture.Sum(r => r.Finished)}  decisions {picture.Sum(r => r.Decisions)} refusals {picture.Sum(r => r.Refusals)}  verified {picture.Sum(r => r.BlocksVerified)} corrupt {picture.Sum(r => r.CorruptBlocks)}");
    }
}
