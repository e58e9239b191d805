using Kvcached.Core.Units;

namespace Kvcached.Gpu.Devices;

/// <summary>
/// For tests: strangers whose use a file tells, as a size such as <c>3GiB</c>, on a device that is used by nobody else but the pools of this host.
/// </summary>
/// <param name="path">The file.</param>
/// <param name="totalBytes">What the device has.</param>
/// <param name="ownBytes">What exists for pools at that moment.</param>
public sealed class PretendedDeviceMeter(string path, long totalBytes, Func<long> ownBytes) : IDeviceMeter
{
    public bool TryRead(out DeviceUse use, out string problem)
    {
        use = default;
        try
        {
            var text = File.ReadAllText(path).Trim();
            if (!ByteSize.TryParse(text, out var foreign) || foreign > totalBytes)
            {
                problem = $"{path} says '{text}'; it must say 0 to {ByteSize.Format(totalBytes)}.";
                return false;
            }

            use = new DeviceUse(totalBytes, foreign + ownBytes());
            problem = string.Empty;
            return true;
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            problem = $"{path} can't be read: {unreadable.Message}";
            return false;
        }
    }
}
